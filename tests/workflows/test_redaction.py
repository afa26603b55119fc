"""What a definition sends as a credential reaches its receiver, and nobody who reads the step log."""

from tests.workflows.engine import Engine


async def test_credentials_of_a_call_are_not_in_the_step_log(engine: Engine) -> None:
    call = {
        "method": "get",
        "endpoint": {
            "uri": "http://127.0.0.1:80/x",
            "authentication": {"basic": {"username": "ada", "password": "s3cret-1"}},
        },
        "headers": {"X-Api-Key": "${ .given }", "Cookie": "sid=s3cret-3", "Accept": "text/plain"},
    }
    row = await engine.run([{"ask": {"call": "http", "with": call}}], {"given": "s3cret-2"})
    steps = await engine.get(f"/v1/executions/{row['id']}/steps")
    [step] = steps["items"]
    assert step["input"]["headers"] == {
        "X-Api-Key": "[redacted]",
        "Cookie": "[redacted]",
        "Accept": "text/plain",
    }
    assert step["input"]["endpoint"]["authentication"]["basic"]["username"] == "ada"
    assert "s3cret" not in str(steps)
    assert "s3cret" not in str([dict(kept) for kept in await engine.steps(str(row["id"]))])
