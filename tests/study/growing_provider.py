"""Ray's provider of nodes for tests, of a type that tells how much memory it has."""

from __future__ import annotations

from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider


class Provider(FakeMultiNodeProvider):
    """Starts a raylet on this machine for each node; loaded by the autoscaler."""

    def create_node_with_resources_and_labels(self, node_config, tags, count, resources, labels):
        # Ray's own hands the memory on as a resource of the user's making, which the raylet refuses.
        known = {name: amount for name, amount in resources.items() if name != "memory"}
        super().create_node_with_resources_and_labels(node_config, tags, count, known, labels)
