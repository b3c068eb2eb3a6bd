"""The jobs: one module per library, with a function per job. They are loaded in the contenders' own processes."""
