"""`python -m conformance.reference`: one process of the reference reconciler."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from conformance.errors import UsageError
from conformance.reference.edges import connection, logs, running
from conformance.reference.edges.settings import Settings, read_rules


def start(
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Kubeconfig; the ServiceAccount of the pod it runs in if not given.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Configuration file, with the keys of Kueue's Configuration.")
    ] = None,
    scope: Annotated[str, typer.Option(help="Manage only what carries this scope; everything if not given.")] = "",
    webhook_host: Annotated[str, typer.Option(help="Address on which both servers listen.")] = "127.0.0.1",
    webhook_port: Annotated[int, typer.Option(help="Port of the webhooks; 0 for a free one.", max=65535)] = 9443,
    health_port: Annotated[
        int, typer.Option(help="Port of /healthz, /readyz and /metrics; 0 for a free one.", max=65535)
    ] = 8081,
    certificates: Annotated[
        Path | None, typer.Option(help="Folder with tls.crt, tls.key and ca.crt; made and rotated if not given.")
    ] = None,
    leader_elect: Annotated[
        bool | None, typer.Option(help="Write only while holding a Lease; on in a cluster, off with a kubeconfig.")
    ] = None,
    lease_namespace: Annotated[
        str | None, typer.Option(help="Namespace of the Lease and of the Secret with the certificate.")
    ] = None,
    webhook_url_host: Annotated[
        str, typer.Option(help="Host by which the API server reaches the webhooks.")
    ] = "127.0.0.1",
    webhook_service: Annotated[
        str | None, typer.Option(help="Service by which it does so instead, as NAMESPACE/NAME, port 443.")
    ] = None,
) -> None:
    """Queue LeaderWorkerSets by the Kueue API, group by group, without Kueue."""
    try:
        settings = Settings(
            kubeconfig=kubeconfig,
            scope=scope,
            rules=read_rules(config),
            webhook_host=webhook_host,
            webhook_port=webhook_port,
            webhook_url_host=webhook_url_host,
            webhook_service=_service(webhook_service),
            health_port=health_port,
            certificates=certificates,
            leader_elect=kubeconfig is None if leader_elect is None else leader_elect,
            lease_namespace=lease_namespace or _own_namespace(),
        )
        logs.to_stderr()
        asyncio.run(running.run(settings))
    except UsageError as error:
        print(f"conformance.reference: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def _service(written: str | None) -> tuple[str, str] | None:
    if written is None:
        return None
    namespace, _, name = written.partition("/")
    if not namespace or not name or "/" in name:
        raise UsageError(f"--webhook-service is {written!r}, not NAMESPACE/NAME")
    return namespace, name


def _own_namespace() -> str:
    """That of the pod it runs in."""
    try:
        return (connection.SERVICE_ACCOUNT / "namespace").read_text().strip()
    except OSError:
        return "default"


def main() -> None:
    typer.run(start)


if __name__ == "__main__":
    main()
