"""What is stored, in words: for the command line and for notebooks alike.

* `values` - whatever an application stores, as JSON and as text.
* `speech` - messages: who speaks, what was said and called. `amounts` - numbers of things, sizes.
* `branches` - checkpoints in the order in which a tree is drawn. `unlike` - lines that differ.
* `printable` - text that cannot steer a terminal.

How it looks is for who shows it: `threadloom.cli` and `threadloom.display`.
"""
