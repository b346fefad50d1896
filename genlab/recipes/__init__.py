"""Recipes: one file per pretrained model, how its weights were made, with the reason for each odd number."""
