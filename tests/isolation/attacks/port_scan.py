import selectors


def attack(args):
    host, wanted = args["target"]
    found, selector = set(), selectors.DefaultSelector()
    for port in set(wanted) | {args["api_port"]} | set(range(1, 200)):
        probe = socket.socket()
        probe.setblocking(False)
        if probe.connect_ex((host, port)) in (0, errno.EINPROGRESS):
            selector.register(probe, selectors.EVENT_WRITE, port)
    deadline = time.monotonic() + 1.5
    while selector.get_map() and time.monotonic() < deadline:
        for key, _ in selector.select(deadline - time.monotonic()):
            if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.add(key.data)
            selector.unregister(key.fileobj)
            key.fileobj.close()
    if not found & set(wanted):
        raise Refused("the API alone" if found == {args["api_port"]} else f"only {found}")
    return found
