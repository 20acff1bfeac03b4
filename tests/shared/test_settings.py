"""Settings: read once from the environment, every bad variable named."""

from pathlib import Path

import pytest

from shared.settings import CommonSettings, SettingsError


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "KAFKA_BOOTSTRAP_SERVERS",
        "POSTGRES_DSN",
        "IMAGE_COMMONS_DATABASE_PASSWORD",
        "IMAGE_COMMONS_DATABASE_PASSWORD_FILE",
        "IMAGE_COMMONS_TOPIC_PREFIX",
        "IMAGE_COMMONS_DATABASE_PREFIX",
    ):
        monkeypatch.delenv(name, raising=False)


def test_every_bad_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_COMMONS_BATCH_RECORDS_MAX", "many")
    monkeypatch.setenv("IMAGE_COMMONS_DRAIN_TIMEOUT_S", "-1")
    monkeypatch.setenv("IMAGE_COMMONS_LOG_FORMAT", "xml")
    with pytest.raises(SettingsError) as caught:
        CommonSettings.from_environment()
    for name in ("IMAGE_COMMONS_BATCH_RECORDS_MAX", "IMAGE_COMMONS_DRAIN_TIMEOUT_S", "IMAGE_COMMONS_LOG_FORMAT"):
        assert name in str(caught.value)


def test_a_bad_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_COMMONS_DATABASE_PASSWORD", "pass-phrase")
    monkeypatch.setenv("IMAGE_COMMONS_DATABASE_PREFIX", "Bad Prefix")
    with pytest.raises(SettingsError) as caught:
        CommonSettings.from_environment()
    assert "IMAGE_COMMONS_DATABASE_PREFIX" in str(caught.value)
    assert "pass-phrase" not in str(caught.value)


@pytest.mark.parametrize("name", ["KAFKA_BOOTSTRAP_SERVERS", "IMAGE_COMMONS_KAFKA_BOOTSTRAP_SERVERS"])
def test_the_broker_is_read_with_and_without_prefix(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "broker:1234")
    assert CommonSettings.from_environment().kafka_bootstrap_servers == "broker:1234"


def test_a_service_has_its_own_role_and_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p@ss/word\n")
    monkeypatch.setenv("POSTGRES_DSN", "postgresql://admin:root@db.example:6432/postgres?sslmode=require")
    monkeypatch.setenv("IMAGE_COMMONS_DATABASE_PASSWORD_FILE", str(secret))
    dsn = CommonSettings.from_environment().service_dsn("catalog")
    assert dsn == "postgresql://image_commons_catalog:p%40ss%2Fword@db.example:6432/image_commons_catalog?sslmode=require"


def test_a_password_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMAGE_COMMONS_DATABASE_PASSWORD_FILE", str(tmp_path / "absent"))
    settings = CommonSettings.from_environment()
    with pytest.raises(SettingsError, match="IMAGE_COMMONS_DATABASE_PASSWORD_FILE: No such file"):
        settings.service_dsn("catalog")


def test_secrets_stay_out_of_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_COMMONS_DATABASE_PASSWORD", "pass-phrase")
    monkeypatch.setenv("POSTGRES_DSN", "postgresql://admin:root-phrase@db/postgres")
    text = repr(CommonSettings.from_environment())
    assert "pass-phrase" not in text
    assert "root-phrase" not in text


def test_every_setting_is_documented() -> None:
    assert [name for name, field in CommonSettings.model_fields.items() if not field.description] == []
