"""Measures this project beside its peers, see benches/peers/README.md."""
