"""What schemathesis.sh asks beyond schemathesis' own checks."""

import schemathesis


@schemathesis.check
def only_401(ctx, response, case):
    """Without a key there is nothing to learn of a route that takes one."""
    open_to_all = case.operation.definition.raw.get("security") == []
    other_method = case.method.lower() != case.operation.method.lower()
    # Of two different credentials none is looked at (RFC 6750 section 3.1).
    both = {"authorization", "x-api-key"} <= {name.lower() for name in response.request.headers}
    if open_to_all or other_method or (both and response.status_code == 400):
        return
    assert response.status_code == 401, f"{response.status_code} without a key"


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """The key that the requests are sent with is not theirs to change."""
    if (case.path_parameters or {}).get("id") == "000000000000":
        case.path_parameters["id"] = "111111111111"
