"""The SROS2 policy that ships allows what the node does and nothing else."""

import xml.etree.ElementTree

from conftest import ROOT

# In the policy, and created only where a parameter or a subscriber asks for it.
ON_REQUEST = {("subscribe", "/clock"), ("subscribe", "/image/compressed"), ("publish", "/humans/faces/*")}


def allowed():
    """What the policy allows: kind and full name."""
    policy = xml.etree.ElementTree.parse(ROOT / "config" / "sros2_policy.xml").getroot()
    [enclave] = policy.findall("enclaves/enclave")
    [profile] = enclave.findall("profiles/profile")
    assert (policy.get("version"), enclave.get("path")) == ("0.2.0", "/face_attributes")
    assert (profile.get("ns"), profile.get("node")) == ("/", "face_attributes")
    for group in profile:
        [(kind, rule)] = group.attrib.items()
        assert rule == "ALLOW"
        for entry in group:
            assert entry.tag == group.tag.removesuffix("s")
            is_private = entry.text.startswith("~")
            yield kind, f"/face_attributes/{entry.text[1:]}" if is_private else f"/{entry.text}"


def created(node):
    """What the node has, as its clients see it."""
    graph = {
        "publish": node.get_publisher_names_and_types_by_node,
        "subscribe": node.get_subscriber_names_and_types_by_node,
        "reply": node.get_service_names_and_types_by_node,
        "request": node.get_client_names_and_types_by_node,
    }
    return {(kind, name) for kind, names in graph.items() for name, _ in names("face_attributes", "/")}


def test_the_policy_allows_what_the_node_has_and_nothing_else(client):
    policy = list(allowed())
    assert len(policy) == len(set(policy))
    expected = set(policy) - ON_REQUEST
    client.spin_until(lambda: ("face_attributes", "/") in client.node.get_node_names_and_namespaces())
    # What is missing may not have been discovered yet.
    client.spin_until(lambda: expected <= created(client.node))
    assert created(client.node) == expected
