def attack(args):
    # The largest packet of the first device, set to what it is.
    request = struct.pack("16si12x", b"eth0", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        now = fcntl.ioctl(any_socket, 0x8921, request)
        return fcntl.ioctl(any_socket, 0x8922, now)
