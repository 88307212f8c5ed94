"""The same round trip through this worker and through others' task queues, on RabbitMQ."""
