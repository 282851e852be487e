"""Conference endpoints and MCUs, whose shells and pages are all made of one state."""
