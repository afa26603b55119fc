"""The five shipped templates on the whole running stack: real mails, links, forms, deadlines, events, schedules."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page, expect

from perdure.cli.demo_http import DemoFailed, get, post
from tests.console.browsing import MAIL_SECONDS, Console
from tests.console.showcase import PAPER, decide, made, started, task_of, until

DETAILS = {
    "Full legal name": "Quay Shipping Ltd",
    "Street and number": "1 Quay",
    "City": "Hull",
    "Country": "GB",
}


async def answer(
    console: Console, open_page: Any, email: str, subject: str, fields: dict[str, str], button: str = "Submit"
) -> Page:
    """A client follows the link in the mail and fills in what is asked, in a browser without scripts."""
    page: Page = await open_page(None, await console.link_to(email, subject), javascript=False)
    for label, text in fields.items():
        if text in ("Yes", "No"):
            await page.get_by_role("group", name=label).get_by_role("radio", name=text).check()
        else:
            await page.get_by_label(label).first.fill(text)
    await page.get_by_role("button", name=button).click()
    return page


async def test_client_onboarding(console: Console, open_page: Any) -> None:
    """The client answers by a link; Ada, who began, may not decide; nobody else does, so it escalates to Rosa."""
    workflow = await made(
        console.ada,
        "client-onboarding",
        "Onboarding, end to end",
        reviewers=["role:owner"],
        decide_within="1 second",
        ask_next=["role:reviewer"],
    )
    email = "books@quay-shipping.example"
    asked = {"name": "Quay Shipping", "email": email, "kind": "business", "services": ["Payroll"]}
    execution = await started(console.ada, workflow, asked)
    await answer(console, open_page, email, "Quay Shipping", {**DETAILS, "Politically exposed": "Yes"})
    task = await task_of(console.ada, execution, title="Take on")
    assert task["arguments"]["details"]["legal_name"] == "Quay Shipping Ltd"
    assert task["arguments"]["details"]["exposed"] is True
    with pytest.raises(DemoFailed, match="four"):
        await decide(console.ada, task, "approved", {"risk": "high"})
    await _escalated(console, task["id"])
    await decide(console.rosa, task, "approved", {"risk": "high", "adviser": "Rosa Pier"})
    ended = await until(console.ada, execution, "completed")
    assert (ended["output"]["taken_on"], ended["output"]["risk"]) == (True, "high")
    client = await get(console.ada.api, f"/v1/clients/{ended['output']['client']['id']}")
    assert (client["status"], client["city"], client["tags"]) == ("active", "Hull", ["risk:high"])
    welcome = await console.mailbox.wait(email, "Welcome to Harbour & Lane", MAIL_SECONDS)
    assert "Rosa Pier looks after you" in welcome.text


async def _escalated(console: Console, task: str) -> None:
    for _ in range(200):
        if (await get(console.ada.api, f"/v1/tasks/{task}"))["escalated_at"] is not None:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the task was not escalated")


async def test_a_client_who_never_answers_is_called(console: Console) -> None:
    workflow = await made(
        console.ada, "client-onboarding", "Onboarding of the silent", answer_within="1 second"
    )
    asked = {"name": "Silent & Sons", "email": "silent@sons.example", "kind": "individual"}
    execution = await started(console.ada, workflow, asked)
    call = await task_of(console.ada, execution, title="Silent & Sons has not answered")
    details = {
        "legal_name": "S. Sons",
        "address": "2 Lane",
        "city": "York",
        "country": "GB",
        "exposed": False,
    }
    await decide(console.grace, call, "submitted", details)
    task = await task_of(console.ada, execution, title="Take on")
    with pytest.raises(DemoFailed, match="four"):  # she spoke for the client
        await decide(console.grace, task, "rejected")
    await decide(console.rosa, task, "rejected", comment="They do not want it.")
    ended = await until(console.ada, execution, "completed")
    assert ended["output"]["taken_on"] is False
    client = await get(console.ada.api, f"/v1/clients/{ended['output']['client']['id']}")
    assert (client["status"], client["city"]) == ("inactive", "York")
    await console.mailbox.wait("silent@sons.example", "Your enquiry", MAIL_SECONDS)


async def test_document_approval(console: Console) -> None:
    """Two of three have to approve, the author sends a second draft, and those who want to know are told."""
    workflow = await made(
        console.ada,
        "document-approval",
        "Approval by two",
        approvals_needed=2,
        approvers=["role:owner", "role:manager", "role:reviewer"],
        tell=["everybody@harbour-lane.example"],
    )
    execution = await started(console.ada, workflow, {**PAPER, "title": "Audit report"})
    first = await task_of(console.ada, execution, title="Approve")
    with pytest.raises(DemoFailed, match="four"):
        await decide(console.ada, first, "approved")
    await decide(console.grace, first, "approved")
    with pytest.raises(DemoFailed, match="already"):
        await decide(console.grace, first, "rejected")
    await decide(console.rosa, first, "rejected", comment="Page 3 is missing.")
    improve = await task_of(console.ada, execution, title="Improve")
    assert "Page 3 is missing." in improve["description"]
    await decide(console.ada, improve, "submitted", {"link": f"{PAPER['link']}-2"})
    second = await task_of(console.ada, execution, title="Approve")
    assert second["arguments"]["round"] == 2
    await decide(console.grace, second, "approved")
    assert (await get(console.ada.api, f"/v1/executions/{execution}"))["status"] == "waiting"
    await decide(console.rosa, second, "approved")
    ended = await until(console.ada, execution, "completed")
    assert ended["output"] == {"approved": True, "link": f"{PAPER['link']}-2", "drafts": 2}
    letter = await console.mailbox.wait("everybody@harbour-lane.example", "Audit report", MAIL_SECONDS)
    assert "(draft 2)" in letter.text


async def test_invoice_reminder(console: Console) -> None:
    """An event starts it, the client is reminded, another event ends it; the next one is written off by two."""
    workflow = await made(console.ada, "invoice-reminder", "Reminders", rhythm=["1 second", "1 second"])
    invoice = {"number": "I-1", "name": "Quay", "email": "pay@quay.example", "amount": "80.00 GBP"}
    await _say(console, "invoice.issued", "issued-1", invoice)
    await _say(console, "invoice.issued", "issued-1", invoice)  # the same event over again starts nothing
    await console.mailbox.wait("pay@quay.example", "Reminder 2: your invoice I-1", MAIL_SECONDS)
    [execution] = (await get(console.ada.api, f"/v1/executions?workflow_id={workflow}"))["items"]
    await task_of(console.ada, execution["id"], title="Invoice I-1")
    await _say(console, "invoice.paid", "paid-1", {"number": "I-1"})
    ended = await until(console.ada, execution["id"], "completed")
    assert ended["output"] == {"number": "I-1", "outcome": "paid", "reminders": 2}

    owed = await started(console.ada, workflow, {**invoice, "number": "I-2"})
    ask = await task_of(console.ada, owed, title="Invoice I-2")
    await decide(console.grace, ask, "submitted", {"next": "write off", "note": "They are bankrupt."})
    agree = await task_of(console.ada, owed, title="Write off")
    with pytest.raises(DemoFailed, match="four"):
        await decide(console.grace, agree, "approved")
    await decide(console.ada, agree, "approved")
    ended = await until(console.ada, owed, "completed")
    assert ended["output"]["outcome"] == "write off"


async def _say(console: Console, type: str, id: str, data: Any) -> None:
    event = {"specversion": "1.0", "id": id, "source": "/books", "type": type, "data": data}
    await post(console.ada.api, "/v1/events", event)


async def test_tax_return_preparation(console: Console, open_page: Any) -> None:
    """Figures by a link, prepared by Ada, checked by the two others because much is at stake, agreed by a link."""
    email = "ann@taxes.example"
    client = await post(console.ada.api, "/v1/clients", {"name": "Ann Taxes", "email": email})
    workflow = await made(console.ada, "tax-return-preparation", "Returns", second_review_from=1000)
    execution = await started(console.ada, workflow, {"email": email, "year": 2025})
    figures = {"Income from employment": "50000", "Profit from self-employment": "0", "Interest": "12.50"}
    await answer(console, open_page, email, "Your tax return for 2025", figures)
    prepare = await task_of(console.ada, execution, title="Prepare")
    assert prepare["arguments"]["capital"] == 12.5
    await decide(console.ada, prepare, "submitted", {"taxable": 50012.5, "tax": 9000})
    check = await task_of(console.ada, execution, title="Check")
    assert check["quorum"] == 2
    with pytest.raises(DemoFailed, match="four"):
        await decide(console.ada, check, "approved")
    await decide(console.grace, check, "approved")
    await decide(console.rosa, check, "approved")
    await task_of(console.ada, execution, title="Do you agree")
    page = await answer(console, open_page, email, "Do you agree", {}, "Approve")
    await expect(page.get_by_role("main")).not_to_contain_text("Not recorded")
    file = await task_of(console.ada, execution, title="File")
    await decide(console.grace, file, "submitted", {"filed_on": "2026-01-20", "receipt": "R-9"})
    ended = await until(console.ada, execution, "completed")
    assert ended["output"]["client"]["id"] == client["id"]
    assert (ended["output"]["receipt"], ended["output"]["drafts"]) == ("R-9", 1)
    await console.mailbox.wait(email, "is filed", MAIL_SECONDS)


async def test_kyc_follow_up(console: Console, open_page: Any) -> None:
    """Its schedule begins a review of every client who is due; two decide about one who is politically exposed."""
    email = "minister@state.example"
    due = {"name": "The Minister", "email": email, "tags": ["kyc-due", "vip"]}
    client = await post(console.ada.api, "/v1/clients", due)
    workflow = await made(console.ada, "kyc-follow-up", "Reviews")
    [schedule] = (await get(console.ada.api, f"/v1/schedules?workflow_id={workflow}"))["items"]
    fired = await post(console.ada.api, f"/v1/schedules/{schedule['id']}/run", {})
    swept = await until(console.ada, fired.get("execution_id") or fired["id"], "completed")
    assert swept["output"] == {"begun": 1, "without_address": [], "more": False}
    said = {
        "Street and number": "1 Palace",
        "City": "Rome",
        "Country": "The North",
        "Politically exposed": "Yes",
        "Your name": "M.",
    }
    await answer(console, open_page, email, "Is this still true", said)
    listed = (await get(console.ada.api, f"/v1/executions?workflow_id={workflow}&status=waiting"))["items"]
    [execution] = [each["id"] for each in listed]
    task = await task_of(console.ada, execution, title="Keep")
    assert (task["quorum"], task["arguments"]["answers"]["exposed"]) == (2, True)
    await decide(console.grace, task, "approved", {"risk": "high"})
    await decide(console.rosa, task, "approved", {"risk": "high"})
    ended = await until(console.ada, execution, "completed")
    assert (ended["output"]["kept"], ended["output"]["risk"]) == (True, "high")
    kept = await get(console.ada.api, f"/v1/clients/{client['id']}")
    assert (kept["tags"], kept["city"], kept["status"]) == (["vip", "risk:high"], "Rome, The North", "active")
