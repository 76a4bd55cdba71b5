"""Training: one loop for every network, recipes, data, and the tasks that join them.

`task` says what is trained, `recipe` with which settings; `loop` knows nothing else.
"""
