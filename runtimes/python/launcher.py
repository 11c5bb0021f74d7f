"""Loads one Python action and runs it, once for every line the action proxy sends.

Called as ``launcher.py CODE_DIR MAIN``, or without arguments: then the first line on descriptor 0 has them, and the
variables of the action. Requests come in on descriptor 0, answers leave on descriptor 3, one line of JSON each;
descriptors 1 and 2 are the action's logs. The first answer says whether the action could be loaded, and if not, why:
that text is what the developer gets to read.
(The protocol is upstream's, apache/openwhisk-runtime-go: docs/ACTION.md; the ``error`` member of the
first answer is ours.)
"""

import glob
import importlib.util
import io
import json
import os
import site
import sys
import traceback

SOURCES = ("__main__.py", "main__.py", "exec")


class LoadError(Exception):
    """What is wrong with the uploaded code, as a sentence."""


def activate_virtualenv(code_dir):
    """Puts the packages of a ``virtualenv`` folder that came with the code on the path."""
    root = os.path.join(code_dir, "virtualenv")
    if not os.path.isdir(root):
        return
    for script in ("bin/activate_this.py", "Scripts/activate_this.py"):
        script = os.path.join(root, script)
        if os.path.exists(script):
            with open(script, "rb") as file:
                exec(compile(file.read(), script, "exec"), {"__file__": script})
            return
    packages = glob.glob(os.path.join(glob.escape(root), "lib", "python3*", "site-packages"))
    if not packages:
        raise LoadError("Invalid virtualenv. Zip file does not include 'activate_this.py'.")
    before = list(sys.path)
    for folder in packages:
        site.addsitedir(folder)
    # What the developer brought wins over what the image has.
    sys.path[:] = [entry for entry in sys.path if entry not in before] + before


def load(code_dir, main):
    """Imports the action's module and returns its entry point."""
    os.chdir(code_dir)
    source = next((name for name in SOURCES if os.path.isfile(name)), None)
    if source is None:
        raise LoadError("Zip file does not include __main__.py")
    if source == "exec":
        source = "__main__.py"
        os.rename("exec", source)
    sys.path.insert(0, code_dir)
    activate_virtualenv(code_dir)
    # Named as upstream names it, so that `if __name__ == "__main__"` stays false.
    spec = importlib.util.spec_from_file_location("main__", os.path.join(code_dir, source))
    module = importlib.util.module_from_spec(spec)
    sys.modules["main__"] = module
    spec.loader.exec_module(module)
    entry = module
    for name in main.split("."):
        try:
            entry = getattr(entry, name)
        except AttributeError:
            raise LoadError("The action's code does not define '%s'." % main) from None
    if not callable(entry):
        raise LoadError("The action's entry point '%s' is not a function." % main)
    return entry


def describe(error):
    """The traceback of an action that does not load, without the frames of this file."""
    if isinstance(error, LoadError):
        return str(error)
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename in (__file__, "<frozen importlib._bootstrap>",
                                                          "<frozen importlib._bootstrap_external>"):
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace)).rstrip()
    # A syntax error has no frame of its own, and then Python leaves out the first line.
    return text if trace else "Traceback (most recent call last):\n" + text


def encode(value):
    """One line of JSON. Text that is no valid Unicode can only be sent escaped."""
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8") + b"\n"
    except UnicodeEncodeError:
        return json.dumps(value).encode("ascii") + b"\n"


def flush_logs():
    """Log lines count towards the run that printed them only if they are out before its answer."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # The action closed it.


def private_channels():
    """Moves the protocol to descriptors that neither the action's `input()` nor its children see."""
    requests = os.fdopen(os.dup(0), "rb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.set_inheritable(3, False)
    return requests, os.fdopen(3, "wb", buffering=0)


def send(answers, line):
    """An unbuffered write may be cut short; this one is not."""
    view = memoryview(line)
    while view:
        view = view[answers.write(view):]


def run(main, request):
    """Sets the `__OW_*` variables of this activation and calls the action."""
    for key, value in request.items():
        if key != "value" and isinstance(value, str) and "\0" not in value:
            os.environ["__OW_%s" % key.upper()] = value
    value = request.get("value")
    try:
        return encode(main({} if value is None else value))
    except Exception as error:
        print(traceback.format_exc(), file=sys.stderr)
        return encode({"error": str(error)})


def serve(code_dir=None, main=None):
    """Loads, reports, and then answers until the proxy closes the channel."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    requests, answers = private_channels()
    if code_dir is None:
        order = requests.readline()
        if not order:
            return 0
        order = json.loads(order)
        code_dir, main = order["code_dir"], order["main"]
        os.environ.update(order["env"])
    code_dir = os.path.realpath(code_dir)
    sys.argv = [os.path.join(code_dir, "__main__.py")]
    try:
        entry = load(code_dir, main)
    except Exception as error:
        text = describe(error)
        print(text, file=sys.stderr)
        flush_logs()
        send(answers, encode({"ok": False, "error": text}))
        return 1
    flush_logs()
    send(answers, b'{"ok":true}\n')
    for line in requests:
        answer = run(entry, json.loads(line))
        flush_logs()
        send(answers, answer)
    return 0


if __name__ == "__main__":
    sys.path.pop(0)  # The launcher's own folder holds nothing for actions.
    sys.exit(serve(*sys.argv[1:]))
