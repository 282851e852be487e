"""SNMP agents of the lab: v2c and v3, with values that live."""
