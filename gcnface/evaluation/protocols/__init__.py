"""Protocols with a known truth, as `registries.ProtocolRow` describes them."""
