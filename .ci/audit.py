"""Look up the pinned packages among the published advisories; where those are not at hand, say so and go on.

Exit code 1 where a pinned package has a known vulnerability, or where the audit itself fails; 0 otherwise.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

PINNED = "constraints/base.txt"
SERVICES = (["--vulnerability-service", "pypi"], ["--vulnerability-service", "osv"])
CONNECT_TIMEOUT_S = 10
LIMIT_S = 300

UNREACHABLE = (
    "ConnectionError",
    "ConnectTimeout",
    "ReadTimeout",
    "ProxyError",
    "SSLError",
    "HTTPError",
    "Could not connect",
    "could not connect",
    "RetryError",
)
"""What stands in pip-audit's last words where it cannot get its data."""


class NotAtHandError(Exception):
    """The advisories cannot be had; the text says why."""


def advisories(service: list[str]) -> list[dict[str, Any]]:
    """What a service knows of the pinned packages, one entry each.

    Raises:
        NotAtHandError: It cannot be reached, or knows none of them: a mirror of packages that has no advisories.
        RuntimeError: pip-audit fails.
    """
    command = [sys.executable, "-m", "pip_audit", "--requirement", PINNED, "--require-hashes", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", str(CONNECT_TIMEOUT_S), *service]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise NotAtHandError(f"no answer within {LIMIT_S} s") from error
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError) as error:
        if any(word in last for word in UNREACHABLE):
            raise NotAtHandError(last[:160]) from error
        raise RuntimeError(done.stderr.strip() or last) from error
    if not any("vulns" in entry for entry in found):
        raise NotAtHandError(f"it knows none of the {len(found)} packages")
    return list(found)


def main() -> int:
    """Try one service after the other, and report on the first that has the data."""
    # For tests, and for a mirror of the advisories.
    given = os.environ.get("AUDIT_OSV_URL")
    services = [["--vulnerability-service", "osv", "--osv-url", given]] if given else SERVICES
    reasons: list[str] = []
    for service in services:
        try:
            found = advisories(service)
        except NotAtHandError as error:
            reasons.append(f"{service[1]}: {error}")
            continue
        except RuntimeError as error:
            print(f"audit: pip-audit failed:\n{error}", file=sys.stderr)
            return 1
        return report(found, service[1])
    print("audit: SKIPPED, the pinned packages were not looked up: the advisories are not at hand")
    for reason in reasons:
        print(f"audit:   {reason}")
    return 0


def report(found: list[dict[str, Any]], service: str) -> int:
    """Print what is known; 1 where that is a vulnerability."""
    known = [entry for entry in found if "vulns" in entry]
    unknown = [entry["name"] for entry in found if "vulns" not in entry]
    bad = [(entry, vulnerability) for entry in known for vulnerability in entry["vulns"]]
    for entry, vulnerability in bad:
        fixed = ", ".join(vulnerability.get("fix_versions", [])) or "none"
        print(f"audit: {entry['name']} {entry['version']}: {vulnerability['id']} (mended in: {fixed})")
    if unknown:
        print(f"audit: NOT looked up, unknown to {service}: {', '.join(unknown)}")
    print(f"audit: {len(known)} of {len(found)} pinned packages looked up ({service}), {len(bad)} advisories")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
