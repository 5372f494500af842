"""Engines. Each is one module or package here; nothing above names one but the registry."""
