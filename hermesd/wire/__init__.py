"""The control line's messages as core structs, both ways, and core errors as gRPC statuses.

`*_from_proto` distrusts its input: what a peer got wrong is an InvalidValue that names the field.
`*_to_proto` trusts its own side; a value that the wire cannot carry is a ValueError or TypeError of
protobuf, which the bridge translates.
"""
