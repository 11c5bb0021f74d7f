

def main(args):
    """Carries out one attack, whose code is in CODE."""
    space = dict(globals())
    exec(CODE[args["attack"]], space)
    try:
        return {"succeeded": True, "how": str(space["attack"](args))}
    except Refused as refusal:
        return {"succeeded": False, "how": str(refusal)}
    except TimeoutError:
        return {"succeeded": False, "how": "ETIMEDOUT"}
    except OSError as error:
        return {"succeeded": False, "how": errno.errorcode.get(error.errno, str(error))}


def main_in_a_process_of_its_own(args):
    reader, writer = os.pipe()
    if os.fork() == 0:
        signal.alarm(20)
        os.write(writer, json.dumps(main(args)).encode())
        os._exit(0)
    os.close(writer)
    os.wait()
    said = os.read(reader, 100_000)
    return json.loads(said) if said else {"succeeded": False, "how": "it died"}


if len(sys.argv) == 2 and sys.argv[1].endswith(".json"):
    for arguments in json.load(open(sys.argv[1])):
        print(json.dumps([arguments["attack"], main_in_a_process_of_its_own(arguments)]))
