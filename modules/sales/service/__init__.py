"""The verbs of sales: orders, invoices, the catalogue of products and taxes."""
