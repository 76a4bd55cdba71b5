"""What networks are trained on: pictures with object masks, and the samples made of them."""
