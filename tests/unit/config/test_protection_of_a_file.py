"""`deployment.tls`, `.auth` and `.external_tls`: what a file may say, and what it is told when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from aixgo import CallContext, DistributedRuntime, agent, load_config
from aixgo.config import open_runtime, wire_options
from aixgo.errors import ConfigError
from aixgo.security.auth import Token
from aixgo.security.certificates import identity_of
from tests.pki import pki

SECRET = "the-token-of-this-fleet"


@agent
async def who(text: str, context: CallContext) -> str:
    return context.peer


def written(folder: Path, deployment: str) -> Path:
    path = folder / "flow.yaml"
    path.write_text(
        f"agents: [{{name: near, role: logger}}]\ndeployment:\n{deployment}", encoding="utf-8"
    )
    return path


async def test_a_file_with_certificates_and_a_token_reaches_its_peers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pki()
    (tmp_path / "certs").symlink_to(made.folder)
    monkeypatch.setenv("AIXGO_FLEET", SECRET)
    settings = {"tls": made.tls("writer"), "token": Token(SECRET)}
    async with DistributedRuntime(who, address="127.0.0.1:0", **settings) as there:  # type: ignore[arg-type]
        path = written(
            tmp_path,
            f"  peers: {{who: '{there.address}'}}\n"
            "  tls: {ca: certs/ca.pem, cert: certs/reader.pem, key: certs/reader.key}\n"
            "  auth: {token: '${AIXGO_FLEET}'}\n",
        )
        async with open_runtime(load_config(path)) as rt:
            assert (await rt.call("who", "")).text == identity_of("reader")


def test_a_token_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "  auth: {token_file: token}\n"))
    with pytest.raises(ConfigError, match=r"token file '.*/token': No such file"):
        wire_options(config.deployment)
    (tmp_path / "token").write_text(SECRET)
    assert wire_options(config.deployment)["token"] == Token(SECRET)


def test_a_file_may_say_that_a_mesh_encrypts(tmp_path: Path) -> None:
    deployment = load_config(written(tmp_path, "  external_tls: true\n")).deployment
    DistributedRuntime(peers={"far": "10.0.0.7:80"}, **wire_options(deployment))


def test_a_file_is_checked_where_its_certificates_are_not(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "  tls: {ca: nowhere.pem}\n"))
    with pytest.raises(ConfigError, match=f"{tmp_path}/nowhere.pem': No such file"):
        DistributedRuntime(**wire_options(config.deployment))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("tls: {crt: a.pem}", r"flow\.yaml:3: key deployment\.tls\.crt.*did you mean 'cert'"),
        ("tls: {cert: a.pem}", r"flow\.yaml:3: key deployment\.tls: cert is given and key is not"),
        ("tls: {mutual: yes}", r"flow\.yaml:3: key deployment\.tls\.mutual must be true or false"),
        ("tls: {mutual: true}", r"flow\.yaml:3: key deployment\.tls: mutual needs ca"),
        ("tls: true", r"flow\.yaml:3: key deployment\.tls must be a mapping"),
        ("auth: {tokn: x}", r"flow\.yaml:3: key deployment\.auth\.tokn.*did you mean 'token'"),
        ("auth: {}", r"flow\.yaml:3: key deployment\.auth: takes token or token_file"),
        ("auth: {token: short}", r"flow\.yaml:3: key deployment\.auth\.token: the token has 5"),
        (
            f"auth: {{token: {SECRET}, token_file: x}}",
            r"flow\.yaml:3: key deployment\.auth: takes token or token_file",
        ),
        (f"auth: {{token: [{SECRET}]}}", r"flow\.yaml:3: key deployment\.auth\.token must be text"),
        (f"auth: {{token: '{SECRET} x'}}", r"flow\.yaml:3: .*a character that is none of"),
        ("external_tls: mesh", r"flow\.yaml:3: key deployment\.external_tls must be true or false"),
        ("externl_tls: true", r"flow\.yaml:3: key deployment\.externl_tls.*'external_tls'"),
        ("auth: {token: '${AIXGO_NOT_SET}'}", r"flow\.yaml:3: .*AIXGO_NOT_SET.* is not set"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_without_the_token(
    tmp_path: Path, line: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load_config(written(tmp_path, f"  {line}\n"))
    assert SECRET not in str(caught.value)


def test_a_configuration_does_not_show_its_token(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, f"  auth: {{token: {SECRET}}}\n"))
    assert SECRET not in repr(config)
