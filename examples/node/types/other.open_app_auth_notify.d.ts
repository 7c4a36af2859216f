// Generated from schemas/other.open_app_auth_notify.v1.json by "npm run generate". Do not edit.

/**
 * A merchant authorised a third-party app
 *
 * A merchant authorised a third-party app, whose tokens are in biz_content: whoever reads these events can act for the merchant. Alipay's notification open_app_auth_notify, known from a real body. The data is the form's fields but sign and sign_type, as texts, times in Beijing time; a field without a value is left out. Nothing is required, and fields that we do not know stay as they came.
 */
export interface OtherOpenAppAuthNotify {
  /**
   * The receiver's app.
   */
  app_id?: string;
  /**
   * The charset that was signed; the data is UTF-8.
   */
  charset?: string;
  /**
   * Version of the protocol.
   */
  version?: string;
  /**
   * The notification's id, which is the event's ce-id, too.
   */
  notify_id?: string;
  /**
   * open_app_auth_notify always.
   */
  notify_type?: string;
  /**
   * When it was sent, yyyy-MM-dd HH:mm:ss.
   */
  notify_time?: string;
  /**
   * The app of the merchant that authorised. (PROTOCOL.md 2.5)
   */
  auth_app_id?: string;
  /**
   * What happened; execute_auth is the only value known. (PROTOCOL.md 2.5)
   */
  status?: string;
  /**
   * JSON in a string, with notify_context and detail. Holds secrets: app_auth_token and app_refresh_token. (PROTOCOL.md 2.5)
   */
  biz_content?: string;
  [k: string]: unknown;
}
