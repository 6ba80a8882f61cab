"""What the demo and the examples send: an invoice, and the workflow that every workspace has."""

from datetime import UTC, datetime
from typing import Final

from gateway.sandbox.store import Json

WORKFLOW_ID: Final = "01890000-0000-7000-8000-000000000001"


def invoice(code: str = "2025-001") -> Json:
    """A GOBL invoice that wants its totals worked out: three lines, two rates of VAT, discounts."""
    return {
        "$schema": "https://gobl.org/draft-0/bill/invoice",
        "series": "SAND",
        "code": code,
        "issue_date": datetime.now(UTC).date().isoformat(),
        "currency": "EUR",
        "supplier": {
            "name": "Talleres Aurora S.L.",
            "tax_id": {"country": "ES", "code": "B12345674"},
            "addresses": [_address("12", "Calle del Arenal", "Sevilla", "41001")],
            "emails": [{"addr": "facturas@aurora.example"}],
        },
        "customer": {
            "name": "Cafetería El Puerto S.L.",
            "tax_id": {"country": "ES", "code": "B87654323"},
            "addresses": [_address("3", "Paseo de la Marina", "Málaga", "29016")],
        },
        "lines": [
            {
                "quantity": "2",
                "item": {"name": "Espresso machine service", "price": "145.00"},
                "taxes": [{"cat": "VAT", "rate": "standard"}],
            },
            {
                "quantity": "24",
                "item": {"name": "House blend coffee, 1 kg", "price": "13.75"},
                "discounts": [{"reason": "Volume", "percent": "10%"}],
                "taxes": [{"cat": "VAT", "rate": "reduced"}],
            },
            {
                "quantity": "1.5",
                "item": {"name": "Barista training", "price": "60.00", "unit": "h"},
                "taxes": [{"cat": "VAT", "rate": "standard"}],
            },
        ],
    }


def _address(num: str, street: str, locality: str, code: str) -> Json:
    return {"num": num, "street": street, "locality": locality, "code": code, "country": "ES"}


def workflow() -> Json:
    """The body that makes the sample workflow: sign, draw a PDF, mark as sent, send a webhook."""
    return {
        "name": "Issue invoice",
        "description": "Signs the document, draws its PDF, marks it as sent, sends a webhook.",
        "schema": "bill/invoice",
        "country": "ES",
        "steps": [
            {
                "id": "01890000-0000-7000-8000-000000000011",
                "name": "Sign envelope",
                "action": "silo.close",
            },
            {
                "id": "01890000-0000-7000-8000-000000000012",
                "name": "Generate PDF",
                "action": "pdf.generate",
            },
            {
                "id": "01890000-0000-7000-8000-000000000013",
                "name": "Mark as sent",
                "action": "silo.state",
                "config": {"state": "sent"},
            },
            {
                "id": "01890000-0000-7000-8000-000000000015",
                "name": "Send webhook",
                "action": "webhook.send",
                "config": {"event": "sent"},
            },
        ],
        "rescue": [
            {
                "id": "01890000-0000-7000-8000-000000000014",
                "name": "Mark as failed",
                "action": "silo.state",
                "config": {"state": "error"},
            },
            {
                "id": "01890000-0000-7000-8000-000000000016",
                "name": "Send webhook",
                "action": "webhook.send",
                "config": {"event": "error"},
            },
        ],
    }
