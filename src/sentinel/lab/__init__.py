"""The command centre on loopback: real protocols for every target of an inventory, and faults to order."""
