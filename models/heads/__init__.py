"""What turns features into logits: one file per family."""
