"""Masks in the forms that tools exchange, one module per form.

Every function takes or gives a `backend.masks.Mask`. None of them knows a tool's messages: they
turn masks into values and values into masks, and the frontends put those into their answers.
"""
