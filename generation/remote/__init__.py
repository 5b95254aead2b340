"""A model on another machine as if it were here: events and questions to the tool cross the wire, never logits."""
