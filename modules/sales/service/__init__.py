"""The verbs of sales: orders and invoices."""
