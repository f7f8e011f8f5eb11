"""A Redis transport for kombu that neither loses nor duplicates messages. It knows nothing of markets."""
