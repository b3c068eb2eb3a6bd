"""What runs where: features of exported models in each runtime that the examples have a program for."""
