"""What the platform must never do, whatever it is sent."""

import schemathesis


@schemathesis.check
def no_server_error(ctx, response, case):
    # An action that fails is the action's own fault.
    of_an_action = response.status_code == 502 and "/actions/" in case.path and case.method.upper() == "POST"
    if response.status_code >= 500 and not of_an_action:
        raise AssertionError(f"{response.status_code}: {response.text[:500]}")
