"""A RabbitMQ node of an ordinary user, for the demo and the tests."""
