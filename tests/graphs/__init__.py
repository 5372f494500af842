"""Real graphs, run on LangGraph's in-memory saver and on every store: the results must agree."""
