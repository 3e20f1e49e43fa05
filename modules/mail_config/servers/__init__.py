"""Mail servers: setting them up, testing them, and what protects them."""
