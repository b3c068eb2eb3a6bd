"""What is run: one module for each library, with a function for each job. Loaded in the contenders' own processes."""
