"""What a model says of pictures and texts: probabilities, and what it retrieves. Nothing is trained."""
