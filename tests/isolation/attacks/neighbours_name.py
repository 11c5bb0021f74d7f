def attack(args):
    try:
        name = socket.gethostbyaddr(args["target"][0])[0]
    except socket.herror as error:
        raise Refused(f"no name: {error}")
    if args["secret"] not in name:
        raise Refused("a name that says nothing")
    return name
