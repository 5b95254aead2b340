"""A model for a team: replicas on Ray Serve, which write text and ask the clients' tools."""
