"""How good the models are: honest cross-validation to choose a recipe, and one logged look at the test rows."""
