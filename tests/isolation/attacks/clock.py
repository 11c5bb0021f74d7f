def attack(args):
    # The time zone of the kernel, set to what it is: none.
    return call("settimeofday", None, struct.pack("ii", 0, 0))
