"""The suite: one module per area, its stories first, then the claims about them."""
