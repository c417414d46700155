"""Component specs: the fields, arguments and types that a component declares in its YAML file.

`component_spec` reads the file, `types` maps field types to Arrow, `arguments` checks and converts
argument values, and `executor_options` defines the options that all components share.
"""
