"""Threadloom in Redis or Valkey: one server or a Cluster, without modules."""

from threadloom_redis.store import RedisStore, open_url

__all__ = ["RedisStore", "open_url"]
