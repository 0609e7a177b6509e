"""How notices to staff name a customer."""

NOBODY = "未知客户"


def customer_named(name: str, contact: str) -> str:
    """As seed 004 has it: «name (id)»; one of them where there is one. On one line, since names
    are the customers' own words."""
    name, contact = " ".join(name.split()), " ".join(contact.split())
    if name and contact and name != contact:
        return f"{name} ({contact})"
    return name or contact or NOBODY
