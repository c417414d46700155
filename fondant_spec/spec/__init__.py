"""What a component declares: its fields, arguments and types, as its YAML file says."""
