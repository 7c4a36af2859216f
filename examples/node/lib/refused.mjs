/**
 * A message that no later attempt can read. The reason goes to the server and
 * into logs: it never quotes the message.
 */
export class Refused extends Error {}
