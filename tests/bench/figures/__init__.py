"""One file a figure: each puts its lines on the board."""
